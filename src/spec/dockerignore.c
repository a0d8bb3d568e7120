/* The lines become patterns with four wildcards: '*', '?', '[…]' and '**'. The rules are those of
 * the matcher that Docker's clients use, odd corners included: "**foo" at the start of a pattern is
 * a plain suffix as long as no other wildcard follows. */
#include "spec/dockerignore.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "spec/pattern.h"

#include "base/banned.h"

struct pattern {
    char *text;
    bool is_exception; /* '!' */
    bool is_suffix;    /* "**rest" with a plain rest */
};

struct dockerignore {
    struct pattern *patterns;
    size_t count;
    bool has_exceptions;
};

/* Go's filepath.Clean on a relative or absolute pattern. */
static char *clean(const char *path)
{
    CLEANUP(strv_done) struct strv parts = {}, kept = {};
    bool is_absolute = path[0] == '/';

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i];

        if (*part == 0 || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") != 0)
            strv_add(&kept, part);
        else if (kept.count > 0 && strcmp(kept.items[kept.count - 1], "..") != 0)
            strv_remove(&kept, kept.count - 1);
        else if (!is_absolute)
            strv_add(&kept, part);
    }

    CLEANUP(free) char *joined = strv_join(&kept, "/");
    if (is_absolute)
        return xasprintf("/%s", joined);
    return *joined ? TAKE(joined) : xstrdup(".");
}

static char *trim(const char *text, size_t length)
{
    while (length > 0 && strchr(" \t\v\f\r", text[0]))
        text++, length--;
    while (length > 0 && strchr(" \t\v\f\r", text[length - 1]))
        length--;
    return xstrndup(text, length);
}

static int add(struct dockerignore *ignore, char *line, struct error *err)
{
    bool is_exception = line[0] == '!', ignored;

    if (is_exception) {
        CLEANUP(free) char *rest = trim(line + 1, strlen(line + 1));

        if (*rest == 0)
            return error_set(err, ERROR_INVALID, "illegal exclusion pattern: \"!\"");
        memmove(line, rest, strlen(rest) + 1);
    }

    CLEANUP(free) char *cleaned = clean(line);
    const char *text = cleaned[0] == '/' && cleaned[1] ? cleaned + 1 : cleaned;

    if (pattern_match(text, ".", &ignored, err) < 0)
        return -1;
    ignore->patterns = xrealloc(ignore->patterns, ignore->count + 1, sizeof(struct pattern));
    ignore->patterns[ignore->count++] = (struct pattern){
        .text = xstrdup(text),
        .is_exception = is_exception,
        .is_suffix = text_starts(text, "**") && !strpbrk(text + 2, "*?[]\\"),
    };
    ignore->has_exceptions |= is_exception;
    return 0;
}

int dockerignore_parse(const char *text, struct dockerignore **out, struct error *err)
{
    CLEANUP(dockerignore_free) struct dockerignore *ignore = NEW(struct dockerignore);

    if (text_starts(text, "\xef\xbb\xbf"))
        text += 3;
    while (*text) {
        size_t length = strcspn(text, "\n");

        if (text[0] != '#') {
            CLEANUP(free) char *line = trim(text, length);

            if (*line && add(ignore, line, err) < 0)
                return -1;
        }
        text += length + (text[length] ? 1 : 0);
    }
    *out = TAKE(ignore);
    return 0;
}

void dockerignore_free(struct dockerignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->count; i++)
        free(ignore->patterns[i].text);
    free(ignore->patterns);
    free(ignore);
}

/* Steps of a pattern, as a set of positions in it: the classic way to match without going back, in
 * time pattern × path. states[i] says that the pattern from its byte i on has still to match. */
static void follow(const char *pattern, bool *states, size_t at)
{
    for (;;) {
        states[at] = true;
        if (pattern[at] != '*')
            return;
        /* Any star may match nothing: double ones swallow the '/' behind them. */
        if (pattern[at + 1] == '*')
            at += pattern[at + 2] == '/' ? 3 : 2;
        else
            at += 1;
    }
}

/* Where a pattern's state goes when the character 'rune' is read. */
static void advance(const char *pattern, size_t at, unsigned rune, bool *next)
{
    size_t size;
    const char *end;
    bool matches;

    switch (pattern[at]) {
    case 0:
        return;
    case '*':
        if (pattern[at + 1] != '*') {
            if (rune != '/')
                follow(pattern, next, at);
            return;
        }
        /* "**" with more behind it ends at a '/'; at the end it takes everything. */
        next[at] = true;
        end = pattern + at + (pattern[at + 2] == '/' ? 3 : 2);
        if (rune == '/' || *end == 0)
            follow(pattern, next, (size_t)(end - pattern));
        return;
    case '?':
        if (rune != '/')
            follow(pattern, next, at + 1);
        return;
    case '[':
        if (pattern_class(pattern + at, &end, rune, &matches) && matches)
            follow(pattern, next, (size_t)(end - pattern));
        return;
    case '\\':
        at += pattern[at + 1] ? 1 : 0;
        /* fall through */
    default:
        if (pattern_rune(pattern + at, &size) == rune)
            follow(pattern, next, at + size);
    }
}

static bool matches_path(const struct pattern *pattern, const char *path, size_t length)
{
    size_t pattern_length = strlen(pattern->text);

    if (pattern->is_suffix) {
        const char *suffix = pattern->text + 2;
        size_t suffix_length = pattern_length - 2;

        if (suffix_length <= length &&
            memcmp(path + length - suffix_length, suffix, suffix_length) == 0)
            return true;
        return suffix[0] == '/' && suffix_length - 1 == length &&
               memcmp(path, suffix + 1, length) == 0;
    }

    CLEANUP(free) bool *states = xcalloc(2 * (pattern_length + 1), sizeof(bool));
    bool *now = states, *next = states + pattern_length + 1, *kept;
    /* "*foo**" keeps its position at "**" although that matches nothing there: harmless. */
    follow(pattern->text, now, 0);
    for (size_t i = 0, size; i < length; i += size) {
        unsigned rune = pattern_rune(path + i, &size);

        memset(next, 0, pattern_length + 1);
        for (size_t at = 0; at < pattern_length; at++)
            if (now[at])
                advance(pattern->text, at, rune, next);
        kept = now;
        now = next;
        next = kept;
    }
    return now[pattern_length];
}

/* Does the pattern match the path or one of the directories it lies in? */
static bool matches_or_parent(const struct pattern *pattern, const char *path)
{
    if (matches_path(pattern, path, strlen(path)))
        return true;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
        if (matches_path(pattern, path, (size_t)(slash - path)))
            return true;
    return false;
}

const char *dockerignore_cause(const struct dockerignore *ignore, const char *path)
{
    const char *cause = NULL;

    for (size_t i = 0; i < ignore->count; i++)
        if (ignore->patterns[i].is_exception == (cause != NULL) &&
            matches_or_parent(&ignore->patterns[i], path))
            cause = cause ? NULL : ignore->patterns[i].text;
    return cause;
}

bool dockerignore_excludes(const struct dockerignore *ignore, const char *path)
{
    return dockerignore_cause(ignore, path) != NULL;
}

bool dockerignore_has_exceptions(const struct dockerignore *ignore)
{
    return ignore->has_exceptions;
}

void dockerignore_lines(const struct dockerignore *ignore, struct strv *out)
{
    for (size_t i = 0; i < ignore->count; i++) {
        const struct pattern *pattern = &ignore->patterns[i];

        if (strcmp(pattern->text, ".") != 0)
            strv_add_format(out, "%s%s", pattern->is_exception ? "!" : "", pattern->text);
    }
}
