# escape=`
# Escape=\
FROM a
