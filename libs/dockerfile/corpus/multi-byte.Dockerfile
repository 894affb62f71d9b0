FROM a AS b
ENV é=ü "日本 語"=x a=😀
COPY --chown=é "ü" 😀 /日本/
RUN é \
 # ü
 😀 x
