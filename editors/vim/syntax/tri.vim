" Highlighting for Tri.
if exists("b:current_syntax")
  finish
endif

syntax keyword triDeclaration fn layer let param buffer state const type use test as where
syntax keyword triStatement if else for in while return assert
syntax keyword triOperatorWord and or not
syntax keyword triConstant true false None inf nan pi training rng
syntax keyword triType bool trit int4 int8 int16 int32 int64 uint8 uint16 uint32 uint64
syntax keyword triType float16 bfloat16 float32 float64 int float str dtype scheme init
syntax keyword triType Tensor tensor TernaryTensor
syntax match triAttribute "@\h\w*" 
syntax match triNumber "\<\d[0-9_]*\(\.[0-9_]\+\)\?\([eE][+-]\?\d\+\)\?\>"
syntax match triNumber "\<0x[0-9a-fA-F_]\+\>"
syntax match triOperator "|>\|->\|\*\*\|//\|\.\.\.\|\.\.\|[-+*/%@<>=!]=\?"
syntax match triFunction "\<\h\w*\ze("
syntax region triString start=+"+ skip=+\\.+ end=+"+ end=+$+ contains=triEscape
syntax match triEscape contained "\\[nt\"\\]\|\\u{\x\+}"
syntax match triComment "#.*$" contains=@Spell
syntax match triDoc "##.*$" contains=@Spell

highlight default link triDeclaration Keyword
highlight default link triStatement Statement
highlight default link triOperatorWord Operator
highlight default link triConstant Constant
highlight default link triType Type
highlight default link triAttribute PreProc
highlight default link triNumber Number
highlight default link triOperator Operator
highlight default link triFunction Function
highlight default link triString String
highlight default link triEscape SpecialChar
highlight default link triComment Comment
highlight default link triDoc SpecialComment

let b:current_syntax = "tri"
