ARG T=tmpfs
FROM a
RUN --mount=type=$T,target=/a,size=1g --mount=type=cache,id=b,sharing=locked,mode=0700,uid=1,gid=2,target=c --mount="type=bind,\"source=a,b\",target=/d,rw" --mount=type=secret,id=s,env=S,required --mount=type=ssh,target=/s x
