# `vstore shell` starts zsh with this folder as $ZDOTDIR. The files of the user are read as ever; before the first prompt
# the layer is activated.
if (( ${+VSTORE_USER_ZDOTDIR} )); then
    export ZDOTDIR=$VSTORE_USER_ZDOTDIR
    unset VSTORE_USER_ZDOTDIR
else
    unset ZDOTDIR
fi
if [[ -r ${ZDOTDIR:-$HOME}/.zshenv ]]; then
    source ${ZDOTDIR:-$HOME}/.zshenv
fi
_vstore_activate() {
    precmd_functions=(${precmd_functions:#_vstore_activate})
    unfunction _vstore_activate
    eval $VSTORE_ACTIVATION
    unset VSTORE_ACTIVATION
}
precmd_functions=(_vstore_activate $precmd_functions)
