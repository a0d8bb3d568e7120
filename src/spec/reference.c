/* The grammar of distribution/reference, scanned by hand from left to right. Text that names no
 * domain is Docker Hub's. */
#include "spec/reference.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define DEFAULT_DOMAIN "docker.io"
#define LEGACY_DOMAIN  "index.docker.io"
#define OFFICIAL       "library/"
#define PATH_LIMIT     255
#define TAG_LIMIT      128

static int invalid(struct error *err)
{
    return error_set(err, ERROR_INVALID, "invalid reference format");
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_path_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool has_upper(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            return true;
    return false;
}

/* How long the separator inside a path component is: ".", "_", "__" or any number of "-". */
static size_t separator_length(const char *text)
{
    if (*text == '-')
        return strspn(text, "-");
    if (*text == '_')
        return text[1] == '_' ? 2 : 1;
    return *text == '.' ? 1 : 0;
}

/* [a-z0-9]+ (separator [a-z0-9]+)*; what follows it, NULL if it does not begin with one. */
static const char *skip_component(const char *text)
{
    for (;;) {
        const char *start = text;

        while (is_path_character(*text))
            text++;
        if (text == start)
            return NULL;
        size_t length = separator_length(text);
        if (length == 0)
            return text;
        text += length;
    }
}

static const char *skip_path(const char *text)
{
    for (;;) {
        text = skip_component(text);
        if (!text || *text != '/')
            return text;
        text++;
    }
}

static const char *skip_label(const char *text)
{
    const char *start = text;

    while (is_alphanumeric(*text) || (*text == '-' && text > start))
        text++;
    return text > start && text[-1] != '-' ? text : NULL;
}

static const char *skip_host(const char *text)
{
    if (*text == '[') {
        size_t length = strspn(text + 1, "0123456789abcdefABCDEF:");

        return length && text[1 + length] == ']' ? text + length + 2 : NULL;
    }
    for (;;) {
        text = skip_label(text);
        if (!text || *text != '.')
            return text;
        text++;
    }
}

static bool is_domain(const char *text)
{
    const char *at = skip_host(text);

    if (at && *at == ':') {
        size_t digits = strspn(at + 1, "0123456789");

        at = digits ? at + 1 + digits : NULL;
    }
    return at && !*at;
}

static size_t tag_length(const char *text)
{
    size_t length = 0;

    while (is_alphanumeric(text[length]) || text[length] == '_' ||
           (length && (text[length] == '.' || text[length] == '-')))
        length++;
    return length <= TAG_LIMIT ? length : 0;
}

int reference_tag_check(const char *tag, struct error *err)
{
    if (text_is_empty(tag) || tag_length(tag) == strlen(tag))
        return 0;
    return error_set(err, ERROR_INVALID, "invalid tag format");
}

/* The first component is a domain if it cannot be the name of a Hub user. */
static bool begins_with_domain(const char *text, size_t length)
{
    return memchr(text, '.', length) || memchr(text, ':', length) ||
           (length == strlen("localhost") && strncmp(text, "localhost", length) == 0) ||
           has_upper(text, length);
}

static int check_digest(const char *text, struct error *err)
{
    const char *colon = strchr(text, ':');

    if (!colon || !isalpha((unsigned char)text[0]) ||
        strspn(colon + 1, "0123456789abcdefABCDEF") < 32)
        return invalid(err);
    if (colon[1 + strspn(colon + 1, "0123456789abcdefABCDEF")])
        return invalid(err);
    if (!text_starts(text, "sha256:"))
        return error_set(err, ERROR_INVALID, "unsupported digest algorithm");
    if (strlen(colon + 1) != 64)
        return error_set(err, ERROR_INVALID, "invalid checksum digest length");
    if (!digest_is_valid(text))
        return error_set(err, ERROR_INVALID, "invalid checksum digest format");
    return 0;
}

/* "path[:tag][@digest]" */
static int read_remainder(struct reference *reference, const char *text, struct error *err)
{
    const char *at = skip_path(text);

    if (!at)
        return invalid(err);
    reference->path = xstrndup(text, (size_t)(at - text));
    if (*at == ':') {
        size_t length = tag_length(at + 1);

        if (length == 0)
            return invalid(err);
        reference->tag = xstrndup(at + 1, length);
        at += 1 + length;
    }
    if (*at == '@') {
        if (check_digest(at + 1, err) < 0)
            return -1;
        reference->digest = xstrdup(at + 1);
        return 0;
    }
    return *at ? invalid(err) : 0;
}

static int read_reference(struct reference *reference, const char *text, struct error *err)
{
    const char *slash = strchr(text, '/');
    bool has_domain = slash && begins_with_domain(text, (size_t)(slash - text));
    CLEANUP(free) char *remainder = xstrdup(has_domain ? slash + 1 : text);

    reference->domain = has_domain ? xstrndup(text, (size_t)(slash - text))
                                   : xstrdup(DEFAULT_DOMAIN);
    if (strcmp(reference->domain, LEGACY_DOMAIN) == 0) {
        free(reference->domain);
        reference->domain = xstrdup(DEFAULT_DOMAIN);
    }
    if (strcmp(reference->domain, DEFAULT_DOMAIN) == 0 && !strchr(remainder, '/')) {
        char *whole = xasprintf(OFFICIAL "%s", remainder);

        free(remainder);
        remainder = whole;
    }
    size_t name_length = strcspn(remainder, ":");
    if (has_upper(remainder, name_length))
        return error_set(err, ERROR_INVALID,
                         "invalid reference format: repository name (%.*s) must be lowercase",
                         (int)MIN(name_length, PATH_LIMIT), remainder);
    if (!is_domain(reference->domain))
        return invalid(err);
    if (read_remainder(reference, remainder, err) < 0)
        return -1;
    if (strlen(reference->path) > PATH_LIMIT)
        return error_set(err, ERROR_INVALID, "repository name must not be more than %d characters",
                         PATH_LIMIT);
    return 0;
}

int reference_parse_exact(const char *text, struct reference *out, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (strlen(text) == 64 && text_is_hex(text, 64))
        return error_set(err, ERROR_INVALID,
                         "invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
                         text);
    if (read_reference(&reference, text, err) < 0)
        return -1;
    *out = reference;
    reference = (struct reference){};
    return 0;
}

int reference_parse(const char *text, struct reference *out, struct error *err)
{
    if (reference_parse_exact(text, out, err) < 0)
        return -1;
    if (!out->tag && !out->digest)
        out->tag = xstrdup("latest");
    return 0;
}

static char *with_suffix(char *name, const struct reference *reference)
{
    struct str text = {};

    str_add(&text, name);
    free(name);
    if (reference->tag)
        str_add_format(&text, ":%s", reference->tag);
    if (reference->digest)
        str_add_format(&text, "@%s", reference->digest);
    return str_take(&text);
}

char *reference_familiar_name(const struct reference *reference)
{
    const char *path = reference->path;

    if (strcmp(reference->domain, DEFAULT_DOMAIN) != 0)
        return xasprintf("%s/%s", reference->domain, path);
    if (text_starts(path, OFFICIAL) && !strchr(path + strlen(OFFICIAL), '/'))
        path += strlen(OFFICIAL);
    return xstrdup(path);
}

int reference_name_check(const struct reference *reference, struct error *err)
{
    CLEANUP(free) char *name = reference_familiar_name(reference);

    if (strcmp(name, "sha256") == 0)
        return error_set(err, ERROR_INVALID,
                         "refusing to create an ambiguous tag using digest algorithm as name");
    return 0;
}

char *reference_familiar(const struct reference *reference)
{
    return with_suffix(reference_familiar_name(reference), reference);
}

char *reference_canonical(const struct reference *reference)
{
    return with_suffix(xasprintf("%s/%s", reference->domain, reference->path), reference);
}

void reference_done(struct reference *reference)
{
    free(reference->domain);
    free(reference->path);
    free(reference->tag);
    free(reference->digest);
    *reference = (struct reference){};
}
