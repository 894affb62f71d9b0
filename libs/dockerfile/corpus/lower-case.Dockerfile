from a as B
run x
copy --From=a b c
