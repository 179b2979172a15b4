# To be sourced by csh and tcsh: source bin/activate.csh
alias deactivate 'test $?_OLD_VIRTUAL_PATH != 0 && setenv PATH "$_OLD_VIRTUAL_PATH:q" && unset _OLD_VIRTUAL_PATH; test $?_OLD_VIRTUAL_PYTHONHOME != 0 && setenv PYTHONHOME "$_OLD_VIRTUAL_PYTHONHOME:q" && unset _OLD_VIRTUAL_PYTHONHOME; test $?_OLD_VIRTUAL_PROMPT != 0 && set prompt = "$_OLD_VIRTUAL_PROMPT:q" && unset _OLD_VIRTUAL_PROMPT; unsetenv VIRTUAL_ENV; unsetenv VIRTUAL_ENV_PROMPT; test "\!:*" != nondestructive && unalias deactivate; rehash'
deactivate nondestructive

# No variable has the place of this file, but the shell has it open while it reads it.
set _vstore_layer = "`ls -l /proc/$$/fd | sed -n -e 's,^[^>]* -> ,,' -e 's,/@SCRIPTS@/activate.csh.*,,p' | tail -n 1`"
if ("$_vstore_layer" == "") then
    set _vstore_layer = "`lsof -p $$ -Fn | sed -n -e 's,^n,,' -e 's,/@SCRIPTS@/activate.csh.*,,p' | tail -n 1`"
endif
if ("$_vstore_layer" == "") then
    echo "activate.csh: this system does not tell where the file is: use another shell"
else
    setenv VIRTUAL_ENV "$_vstore_layer:q"
    setenv VIRTUAL_ENV_PROMPT @NAME@
    set _OLD_VIRTUAL_PATH = "$PATH:q"
    setenv PATH "$VIRTUAL_ENV:q/@SCRIPTS@:$PATH:q"
    if ($?PYTHONHOME) then
        set _OLD_VIRTUAL_PYTHONHOME = "$PYTHONHOME:q"
        unsetenv PYTHONHOME
    endif
    if (! $?VIRTUAL_ENV_DISABLE_PROMPT && $?prompt) then
        set _OLD_VIRTUAL_PROMPT = "$prompt:q"
        set prompt = "($VIRTUAL_ENV_PROMPT) $prompt:q"
    endif
endif
unset _vstore_layer
rehash
