# For Nushell: overlay use bin/activate.nu
const file = path self

export-env {
    let layer = $file | path dirname | path dirname
    let search = if "Path" in $env { "Path" } else { "PATH" }
    load-env {
        $search: ($env | get $search | split row (char esep) | prepend ($layer | path join "@SCRIPTS@"))
        VIRTUAL_ENV: $layer
        VIRTUAL_ENV_PROMPT: "@NAME@"
    }
    hide-env --ignore-errors PYTHONHOME
}

export alias deactivate = overlay hide activate
