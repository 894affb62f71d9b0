FROM a
ENV a=${b:-c} b=${c-d} c=${d:+e} d=${e+f} e=${f:?g} f=${g?} g=${h#i} h=${i##*j} i=${j%k?} j=${k%%l} k=${l/m/n} l=${m//n/o} m=$$ n=$1 o="${p:-"q"}"
