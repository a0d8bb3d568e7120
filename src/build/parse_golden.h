/* The Dockerfiles of the recordings, with what the reference builder shows as their steps where it
 * came that far. */
#ifndef BERTH_BUILD_PARSE_GOLDEN_H
#define BERTH_BUILD_PARSE_GOLDEN_H

/* clang-format off */
static const struct {
    const char *name;
    int step_count; /* 0: not recorded */
    const char *text, *steps;
} golden_dockerfiles[] = {
    { "01base", 1,
      "FROM busybox\n"
      , "FROM busybox\n" },
    { "02scratch", 2,
      "FROM scratch\n"
      "COPY a.txt /\n"
      , "FROM scratch\n"
        "COPY a.txt /\n" },
    { "03run", 5,
      "FROM busybox\n"
      "RUN echo hi > /x\n"
      "RUN [\"touch\",\"/y\"]\n"
      "RUN echo a && \\\n"
      "    echo b\n"
      "RUN true\n"
      , "FROM busybox\n"
        "RUN echo hi > /x\n"
        "RUN [\"touch\",\"/y\"]\n"
        "RUN echo a &&     echo b\n"
        "RUN true\n" },
    { "04cmdep", 3,
      "FROM busybox\n"
      "CMD echo hi\n"
      "ENTRYPOINT [\"/bin/sh\",\"-c\"]\n"
      , "FROM busybox\n"
        "CMD echo hi\n"
        "ENTRYPOINT [\"/bin/sh\",\"-c\"]\n" },
    { "05epshell", 3,
      "FROM busybox\n"
      "ENTRYPOINT echo ep\n"
      "CMD [\"a\",\"b\"]\n"
      , "FROM busybox\n"
        "ENTRYPOINT echo ep\n"
        "CMD [\"a\",\"b\"]\n" },
    { "06env", 6,
      "FROM busybox\n"
      "ENV A=1 B=\"two words\" C=$A\n"
      "ENV D old style  value\n"
      "ENV A=2 E=${A}x\n"
      "ENV F=${A:-q}${Z:-def}${A:+set}\n"
      "RUN echo $A $B\n"
      , "FROM busybox\n"
        "ENV A=1 B=\"two words\" C=$A\n"
        "ENV D old style  value\n"
        "ENV A=2 E=${A}x\n"
        "ENV F=${A:-q}${Z:-def}${A:+set}\n"
        "RUN echo $A $B\n" },
    { "07arg", 8,
      "ARG V=latest\n"
      "FROM busybox:$V\n"
      "ARG V\n"
      "ARG X=1\n"
      "ARG Y\n"
      "RUN echo $X $Y $V\n"
      "ENV X=env\n"
      "RUN echo $X\n"
      , "ARG V=latest\n"
        "FROM busybox:$V\n"
        "ARG V\n"
        "ARG X=1\n"
        "ARG Y\n"
        "RUN echo $X $Y $V\n"
        "ENV X=env\n"
        "RUN echo $X\n" },
    { "08label", 4,
      "FROM busybox\n"
      "LABEL a=b \"c d\"=\"e f\" g='h\"i'\n"
      "LABEL multi=\"line1 \\\n"
      "line2\" j=k\n"
      "LABEL old style\n"
      , "FROM busybox\n"
        "LABEL a=b \"c d\"=\"e f\" g='h\"i'\n"
        "LABEL multi=\"line1 line2\" j=k\n"
        "LABEL old style\n" },
    { "09expose", 3,
      "FROM busybox\n"
      "EXPOSE 80 443/tcp 53/udp 100-102\n"
      "EXPOSE 80/TCP\n"
      , "FROM busybox\n"
        "EXPOSE 80 443/tcp 53/udp 100-102\n"
        "EXPOSE 80/TCP\n" },
    { "10volume", 3,
      "FROM busybox\n"
      "VOLUME /a /b\n"
      "VOLUME [\"/c d\",\"/e\"]\n"
      , "FROM busybox\n"
        "VOLUME /a /b\n"
        "VOLUME [\"/c d\",\"/e\"]\n" },
    { "11user", 7,
      "FROM busybox\n"
      "USER nobody\n"
      "WORKDIR /w/x\n"
      "RUN id\n"
      "WORKDIR y\n"
      "COPY a.txt .\n"
      "USER 1:2\n"
      , "FROM busybox\n"
        "USER nobody\n"
        "WORKDIR /w/x\n" },
    { "12shell", 6,
      "FROM busybox\n"
      "SHELL [\"/bin/sh\",\"-ec\"]\n"
      "RUN echo hi\n"
      "CMD foo\n"
      "ENTRYPOINT bar\n"
      "HEALTHCHECK CMD baz\n"
      , "FROM busybox\n"
        "SHELL [\"/bin/sh\",\"-ec\"]\n"
        "RUN echo hi\n"
        "CMD foo\n"
        "ENTRYPOINT bar\n"
        "HEALTHCHECK CMD baz\n" },
    { "13health", 3,
      "FROM busybox\n"
      "HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --start-interval=2s --retries=4 CMD [\"true\",\"x\"]\n"
      "HEALTHCHECK --interval=1m30s CMD wget -q localhost\n"
      , "FROM busybox\n"
        "HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --start-interval=2s --retries=4 CMD [\"true\",\"x\"]\n"
        "HEALTHCHECK --interval=1m30s CMD wget -q localhost\n" },
    { "14healthnone", 5,
      "FROM busybox\n"
      "HEALTHCHECK NONE\n"
      "STOPSIGNAL 9\n"
      "STOPSIGNAL SIGINT\n"
      "MAINTAINER me <me@x>\n"
      , "FROM busybox\n"
        "HEALTHCHECK NONE\n"
        "STOPSIGNAL 9\n"
        "STOPSIGNAL SIGINT\n"
        "MAINTAINER me <me@x>\n" },
    { "15onbuild", 3,
      "FROM busybox\n"
      "ONBUILD RUN echo ob\n"
      "ONBUILD COPY a.txt /ob/\n"
      , "FROM busybox\n"
        "ONBUILD RUN echo ob\n"
        "ONBUILD COPY a.txt /ob/\n" },
    { "16copy", 10,
      "FROM busybox\n"
      "COPY a.txt b.txt /d/\n"
      "COPY dir /d2\n"
      "COPY dir/ /d3/\n"
      "COPY *.txt /d4/\n"
      "COPY --chown=1:2 a.txt /c\n"
      "COPY --chown=nobody:root b.txt /n\n"
      "COPY lnk /l\n"
      "COPY ldir /ld\n"
      "COPY [\"sp ace\",\"/sp ace\"]\n"
      , "FROM busybox\n"
        "COPY a.txt b.txt /d/\n"
        "COPY dir /d2\n"
        "COPY dir/ /d3/\n"
        "COPY *.txt /d4/\n"
        "COPY --chown=1:2 a.txt /c\n"
        "COPY --chown=nobody:root b.txt /n\n" },
    { "17add", 4,
      "FROM busybox\n"
      "ADD t.tar /t/\n"
      "ADD a.txt /a\n"
      "ADD dir /dd\n"
      , "FROM busybox\n"
        "ADD t.tar /t/\n"
        "ADD a.txt /a\n"
        "ADD dir /dd\n" },
    { "18multi", 7,
      "FROM busybox AS one\n"
      "RUN echo 1 > /one\n"
      "FROM one AS two\n"
      "RUN echo 2 > /two\n"
      "FROM scratch\n"
      "COPY --from=one /one /\n"
      "COPY --from=1 /two /x/\n"
      , "FROM busybox AS one\n"
        "RUN echo 1 > /one\n"
        "FROM one AS two\n"
        "RUN echo 2 > /two\n"
        "FROM scratch\n"
        "COPY --from=one /one /\n"
        "COPY --from=1 /two /x/\n" },
    { "19cont", 3,
      "# escape=`\n"
      "FROM busybox\n"
      "RUN echo a `\n"
      "# comment inside\n"
      "  && echo b\n"
      "RUN echo \"\\n\"\n"
      , "FROM busybox\n"
        "RUN echo a   && echo b\n"
        "RUN echo \"\\n\"\n" },
    { "20vars", 7,
      "FROM busybox\n"
      "ENV A=foobarfoo E=\n"
      "ENV R1=${A} R2=$A-x R3=\\$A R4=\"$A\" R5='$A' R6=${E:-d} R7=${E-d} R8=${U-u} R9=${U:+x} R10=${E+set} R11=\"a\\\"b\" R12=a\\ b R13=\"\\$A\" R14=$ R15=${A}${U}\n"
      "LABEL x=\"${A}\" y='${A}' z=$A/$E\n"
      "WORKDIR /$A\n"
      "EXPOSE ${E:-80}\n"
      "USER ${U:-root}\n"
      , "FROM busybox\n"
        "ENV A=foobarfoo E=\n"
        "ENV R1=${A} R2=$A-x R3=\\$A R4=\"$A\" R5='$A' R6=${E:-d} R7=${E-d} R8=${U-u} R9=${U:+x} R10=${E+set} R11=\"a\\\"b\" R12=a\\ b R13=\"\\$A\" R14=$ R15=${A}${U}\n"
        "LABEL x=\"${A}\" y='${A}' z=$A/$E\n"
        "WORKDIR /$A\n"
        "EXPOSE ${E:-80}\n"
        "USER ${U:-root}\n" },
    { "21emptycmd", 3,
      "FROM busybox\n"
      "CMD []\n"
      "ENTRYPOINT []\n"
      , "FROM busybox\n"
        "CMD []\n"
        "ENTRYPOINT []\n" },
    { "22badjson", 3,
      "FROM busybox\n"
      "CMD [\"a\", 'b']\n"
      "RUN [echo,x] || true\n"
      , "FROM busybox\n"
        "CMD [\"a\", 'b']\n"
        "RUN [echo,x] || true\n" },
    { "23reset", 2,
      "FROM img04\n"
      "ENTRYPOINT [\"x\"]\n"
      , "FROM img04\n"
        "ENTRYPOINT [\"x\"]\n" },
    { "24onbuildchild", 2,
      "FROM img15\n"
      "LABEL a=1\n"
      , "FROM img15\n"
        "LABEL a=1\n" },
    { "25sort", 7,
      "FROM busybox\n"
      "ENV Z=1 A=1\n"
      "LABEL z=1 a=1\n"
      "EXPOSE 90 80\n"
      "RUN --network=none true\n"
      "WORKDIR /tmp\n"
      "WORKDIR /newdir\n"
      , "FROM busybox\n"
        "ENV Z=1 A=1\n"
        "LABEL z=1 a=1\n"
        "EXPOSE 90 80\n"
        "RUN --network=none true\n" },
    { "26heredoc", 6,
      "FROM busybox\n"
      "RUN <<EOF\n"
      "echo a > /ha\n"
      "echo b\n"
      "EOF\n"
      "RUN cat <<-'EOF' > /hb\n"
      "\ttab $A\n"
      "\tEOF\n"
      "RUN <<EOF sh\n"
      "echo $0\n"
      "EOF\n"
      "COPY <<one <<\"two\" /h/\n"
      "v=$PATH\n"
      "one\n"
      "v=$PATH\n"
      "two\n"
      "COPY <<f /h/renamed\n"
      "x\n"
      "f\n"
      , "FROM busybox\n"
        "RUN <<EOF\n"
        "RUN cat <<-'EOF' > /hb\n"
        "RUN <<EOF sh\n"
        "COPY <<one <<\"two\" /h/\n" },
    { "27mounts", 8,
      "FROM busybox\n"
      "RUN --mount=type=bind,source=a.txt,target=/m/a cat /m/a\n"
      "RUN --mount=type=cache,target=/cc touch /cc/x\n"
      "RUN --mount=type=tmpfs,target=/tt touch /tt/x\n"
      "RUN --mount=type=secret,id=nope ls /run/secrets || true\n"
      "COPY --link a.txt /lk/\n"
      "COPY --chmod=700 a.txt /cm\n"
      "ADD --chown=3:4 t.tar /u/\n"
      , "FROM busybox\n"
        "RUN --mount=type=bind,source=a.txt,target=/m/a cat /m/a\n" },
    { "28deb", 3,
      "FROM debian\n"
      "RUN printf '#!/bin/sh\\n' > /s && chmod 4755 /s\n"
      "CMD [\"bash\"]\n"
      , "FROM debian\n"
        "RUN printf '#!/bin/sh\\n' > /s && chmod 4755 /s\n"
        "CMD [\"bash\"]\n" },
    { "29sort2", 0,
      "FROM busybox\n"
      "ENV Z=1 A=1\n"
      "LABEL z=1 a=1\n"
      "EXPOSE 90 80\n"
      "RUN true\n"
      "WORKDIR /tmp\n"
      "WORKDIR /newdir\n"
      , "" },
};
/* clang-format on */

#endif
