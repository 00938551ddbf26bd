autocmd BufRead,BufNewFile *.tri setfiletype tri
