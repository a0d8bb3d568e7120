/* .dockerignore: what a real client sent for each pattern file. */
#include "spec/dockerignore.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/macros.h"
#include "base/str.h"
#include "base/strv.h"

static const char *const files[] = {
    " sp",
    "#hash",
    ".dockerignore",
    ".env",
    "Dockerfile",
    "README.md",
    "a.txt",
    "b.md",
    "d",
    "d/a.txt",
    "d/e",
    "d/e/a.txt",
    "node_modules",
    "node_modules/k",
    "node_modules/k/i",
    "x",
    "x/drop",
    "x/keep",
};

/* Patterns with ';' between the lines, and the files of 'files' that are left, '|' between. */
static const struct {
    const char *patterns, *left;
} cases[] = {
    { "*.txt;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|b.md|d|d/a.txt|d/e|d/e/"
                "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "**/*.txt;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|b.md|d|d/"
                   "e|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "*;!x;", "x|x/drop|x/keep" },
    { "*;!x/keep;", "x|x/keep" },
    { "x;!x/keep;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/"
                    "e/a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/keep" },
    { "/d/;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|node_modules|node_"
              "modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "d/*;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|node_modules|node_"
              "modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "# c;#hash;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/"
                    "e/a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "*.md;!README.md;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|d|d/a.txt|d/e|d/"
                          "e/a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "!README.md;*.md;", " sp|#hash|.dockerignore|.env|Dockerfile|a.txt|d|d/a.txt|d/e|d/e/"
                          "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "Dockerfile;.dockerignore;",
      " sp|#hash|.env|README.md|a.txt|b.md|d|d/a.txt|d/e|d/e/a.txt|node_modules|node_modules/"
      "k|node_modules/k/i|x|x/drop|x/keep" },
    { ".;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/e/"
            "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "**;!a.txt;", "a.txt" },
    { "node_modules;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/"
                       "e|d/e/a.txt|x|x/drop|x/keep" },
    { "*/*/a.txt;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/"
                    "e|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { " sp;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/e/"
              "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "./d;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|node_modules|node_"
              "modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "../d;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/e/"
               "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "d/../x;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/e/"
                 "a.txt|node_modules|node_modules/k|node_modules/k/i" },
    { "?.txt;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|b.md|d|d/a.txt|d/e|d/e/"
                "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "[ab].txt;", " sp|#hash|.dockerignore|.env|Dockerfile|README.md|b.md|d|d/a.txt|d/e|d/e/"
                   "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "\\#hash;", " sp|.dockerignore|.env|Dockerfile|README.md|a.txt|b.md|d|d/a.txt|d/e|d/e/"
                  "a.txt|node_modules|node_modules/k|node_modules/k/i|x|x/drop|x/keep" },
    { "*;!d/e;", "d|d/e|d/e/a.txt" },
};

static struct dockerignore *parse(const char *patterns, struct error *err)
{
    CLEANUP(free) char *text = strdup(patterns);
    struct dockerignore *ignore = NULL;

    for (char *c = text; *c; c++)
        if (*c == ';')
            *c = '\n';
    dockerignore_parse(text, &ignore, err);
    return ignore;
}

/* As the walk does it: an excluded directory stays if something in it does. */
static bool is_left(const struct dockerignore *ignore, const char *path)
{
    size_t length = strlen(path);

    if (!dockerignore_excludes(ignore, path))
        return true;
    if (!dockerignore_has_exceptions(ignore))
        return false;
    for (size_t i = 0; i < COUNT(files); i++)
        if (strncmp(files[i], path, length) == 0 && files[i][length] == '/' &&
            is_left(ignore, files[i]))
            return true;
    return false;
}

Test(dockerignore, leaves_what_a_client_sends)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error err = {};
        CLEANUP(strv_done) struct strv left = {};
        CLEANUP(dockerignore_free) struct dockerignore *ignore = parse(cases[i].patterns, &err);

        cr_assert(ignore, "%s: %s", cases[i].patterns, err.text);
        for (size_t k = 0; k < COUNT(files); k++)
            if (is_left(ignore, files[k]))
                strv_add(&left, files[k]);
        strv_sort(&left);
        CLEANUP(free) char *joined = strv_join(&left, "|");
        cr_expect_str_eq(joined, cases[i].left, "%s\n  left %s\nwanted %s", cases[i].patterns,
                         joined, cases[i].left);
    }
}

static const struct {
    const char *pattern, *path;
    bool excluded;
} matches[] = {
    { "**/foo", "foo", true },
    { "**/foo", "a/b/foo", true },
    { "**/foo", "a/b/foo/bar", true },
    { "**/foo", "afoo", false },
    { "**foo", "afoo", true },
    { "**foo*", "afoo", false },
    { "a/**/b", "a/b", true },
    { "a/**/b", "a/x/y/b", true },
    { "a/**/b", "ab", false },
    { "a/**", "a", false },
    { "a/**", "a/x/y", true },
    { "a**", "ab/c", true },
    { "**/*.go", "main.go", true },
    { "**/*.go", "x/y/main.go", true },
    { "**/*.go", "x/y/main.c", false },
    { "*/*", "a", false },
    { "*/*", "a/b", true },
    { "a?c", "abc", true },
    { "a?c", "a/c", false },
    { "[^a]b", "cb", true },
    { "[^a]b", "ab", false },
    { "a.c", "abc", false },
    { "a+(b)", "a+(b)", true },
    { "ä?", "äö", true },
    { "a\\*", "a*", true },
    { "a\\*", "ab", false },
    { "a/", "a/b", true },
    { "a//b", "a/b", true },
};

Test(dockerignore, knows_its_wildcards)
{
    for (size_t i = 0; i < COUNT(matches); i++) {
        struct error err = {};
        CLEANUP(dockerignore_free) struct dockerignore *ignore = parse(matches[i].pattern, &err);

        cr_assert(ignore, "%s: %s", matches[i].pattern, err.text);
        cr_expect_eq(dockerignore_excludes(ignore, matches[i].path), matches[i].excluded,
                     "%s on %s", matches[i].pattern, matches[i].path);
    }
}

static const struct {
    const char *patterns, *message;
} failures[] = {
    { "[", "syntax error in pattern" },
    { "ok;a/[", "syntax error in pattern" },
    { "!", "illegal exclusion pattern: \"!\"" },
    { "! ", "illegal exclusion pattern: \"!\"" },
};

Test(dockerignore, refuses_broken_patterns)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct error err = {};

        cr_expect_null(parse(failures[i].patterns, &err));
        cr_expect_str_eq(err.text, failures[i].message);
    }
}
