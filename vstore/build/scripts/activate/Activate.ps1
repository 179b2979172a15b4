# To be sourced by PowerShell: . bin/Activate.ps1
function global:deactivate ([switch] $NonDestructive) {
    foreach ($name in "PATH", "PYTHONHOME") {
        if (Test-Path "Variable:global:_OLD_VIRTUAL_$name") {
            Set-Item "Env:$name" (Get-Variable "_OLD_VIRTUAL_$name" -Scope Global -ValueOnly)
            Remove-Variable "_OLD_VIRTUAL_$name" -Scope Global
        }
    }
    if (Test-Path Function:global:_OLD_VIRTUAL_PROMPT) {
        Copy-Item Function:_OLD_VIRTUAL_PROMPT Function:prompt
        Remove-Item Function:_OLD_VIRTUAL_PROMPT
    }
    foreach ($name in "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT") {
        if (Test-Path "Env:$name") { Remove-Item "Env:$name" }
    }
    if (-not $NonDestructive) { Remove-Item Function:deactivate }
}
deactivate -NonDestructive

$env:VIRTUAL_ENV = Split-Path -Parent $PSScriptRoot
$env:VIRTUAL_ENV_PROMPT = "@NAME@"
$global:_OLD_VIRTUAL_PATH = $env:PATH
$env:PATH = $PSScriptRoot + [IO.Path]::PathSeparator + $env:PATH
if (Test-Path Env:PYTHONHOME) {
    $global:_OLD_VIRTUAL_PYTHONHOME = $env:PYTHONHOME
    Remove-Item Env:PYTHONHOME
}
if (-not $env:VIRTUAL_ENV_DISABLE_PROMPT) {
    Copy-Item Function:prompt Function:global:_OLD_VIRTUAL_PROMPT
    function global:prompt { "($env:VIRTUAL_ENV_PROMPT) " + (_OLD_VIRTUAL_PROMPT) }
}
