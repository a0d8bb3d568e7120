#include "build/context_needs.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"

static bool has_triggers(void *data, const char *image)
{
    (void)data;
    return strcmp(image, "plain") != 0;
}

/* clang-format off */
static const struct { const char *text, *paths; } cases[] = {
    { "FROM plain\nCOPY a.txt b/c /x/\n",                             "a.txt|b/c"     },
    { "FROM plain\nCOPY . /x/\n",                                     ""              },
    { "FROM plain\nCOPY ./src/ /x/\nCOPY /etc/../lib /y\n",           "src|lib"       },
    { "FROM plain\nCOPY src/*.c src/deep/[ab]/z /x/\n",               "src|src/deep"  },
    { "FROM plain\nCOPY *.json /x/\n",                                ""              },
    { "FROM plain\nARG D\nCOPY lib/$D/x /y\n",                        "lib"           },
    { "FROM plain\nCOPY lib/pre${D} /y\n",                            "lib"           },
    { "FROM plain\nCOPY [\"a b\", \"/x\"]\n",                         "a b"           },
    { "FROM plain AS one\nCOPY a /x\nFROM one\nCOPY --from=one c /x\n", "a"           },
    { "FROM plain\nADD https://example.org/x u.tar /x/\n",            "u.tar"         },
    { "FROM plain\nCOPY <<EOF /x\ntext\nEOF\n",                       NULL            },
    { "FROM plain\nRUN --mount=target=/x true\n",                     ""              },
    { "FROM plain\nRUN --mount=source=in,target=/x true\n",           "in"            },
    { "FROM plain\nRUN --mount=type=bind,src=in,target=/x true\n",    "in"            },
    { "FROM plain\nRUN --mount=type=cache,target=/x true\n",          NULL            },
    { "FROM plain\nRUN --mount=from=y,source=in,target=/x true\n",    NULL            },
    { "FROM plain\nRUN true\n",                                       NULL            },
    { "FROM scratch\nCOPY a /x\n",                                    "a"             },
    { "FROM triggering\nCOPY a /x\n",                                 "|a"            },
    { "ARG V\nFROM plain:$V\nCOPY a /x\n",                            "|a"            },
    { "FROM plain\nONBUILD COPY a /x\nCOPY b /x\n",                   "|b"            },
    { "FROM plain\nCOPY dlink/x /y\n",                                ""              }, /* through a link */
    { "FROM plain\nCOPY with/link /y\n",                              ""              },
    { "FROM plain\nCOPY with/l* /y\n",                                ""              },
    { "FROM plain\nCOPY with /y\n",                                   "with"          }, /* links inside are copied as they are */
};
/* clang-format on */

static void add(struct str *text, enum context_type type, const char *path, const char *target)
{
    const struct context_entry entry = { type, 0755, 0, 0, "-", path, target };

    context_manifest_add(text, &entry);
}

Test(context_needs, lists_what_can_be_asked_for)
{
    CLEANUP(context_manifest_done) struct context_manifest manifest = {};
    struct str text = {};

    add(&text, CONTEXT_LINK, "dlink", "with");
    add(&text, CONTEXT_DIRECTORY, "with", NULL);
    add(&text, CONTEXT_LINK, "with/link", "../a");
    size_t size = text.length;
    cr_assert_eq(context_manifest_read(str_take(&text), size, &manifest, NULL), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* A pattern at the top would meet the link there. */
        const struct context_manifest none = {};
        bool needs_links = strstr(cases[i].text, "link") || strstr(cases[i].text, "with");
        CLEANUP(dockerfile_done) struct dockerfile file = {};
        CLEANUP(strv_done) struct strv paths = {};
        struct error err = {};

        cr_assert_eq(dockerfile_parse(cases[i].text, strlen(cases[i].text), NULL, &file, &err), 0,
                     "%s", err.text);
        context_needs(&file, needs_links ? &manifest : &none, has_triggers, NULL, &paths);
        CLEANUP(free) char *joined = strv_join(&paths, "|");
        if (!cases[i].paths)
            cr_expect_eq(paths.count, 0, "%s", cases[i].text);
        else
            cr_expect_str_eq(joined, cases[i].paths, "%s", cases[i].text);
    }
}
