" Settings for Tri files: comments, indentation, and `tritonc check` as the compiler.
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=#\ %s comments=:##,:#
setlocal expandtab shiftwidth=4 softtabstop=4 smartindent
setlocal makeprg=tritonc\ check\ --error-format\ short\ %:S
setlocal errorformat=%f:%l:%c:\ %trror[%m,%f:%l:%c:\ %tarning[%m

let b:undo_ftplugin = "setlocal commentstring< comments< expandtab< shiftwidth< softtabstop< smartindent< makeprg< errorformat<"
