FROM a
RUN <<EOF
# no comment
x \
EOF
RUN cat <<-A 3<<"B C" > x
	a
	A
b
B C
COPY <<a <<'b' c /d
$x
a
$y
b
ADD <<-E /e
		
	E
ONBUILD RUN <<X
y
X
