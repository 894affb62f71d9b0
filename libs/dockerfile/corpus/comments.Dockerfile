# a
#
  # b

FROM a
RUN a \
# c
   # d \

  b
#e