/* PCRE2 with limits on everything. Its link size of two bytes already bounds a compiled expression
 * at 64 KiB, which nested repetitions reach quickly. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "codec/regex.h"

#include <pcre2.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

struct regex {
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_code *code;
};

static void *memory_take(size_t size, void *unused)
{
    (void)unused;
    return xmalloc(size);
}

static void memory_give(void *pointer, void *unused)
{
    (void)unused;
    free(pointer);
}

static int failure_say(int failure, size_t at, const char *pattern, struct error *err)
{
    PCRE2_UCHAR words[128];

    pcre2_get_error_message(failure, words, sizeof(words));
    return error_set(err, ERROR_INVALID, "error parsing regexp: %s at offset %zu: `%s`",
                     (const char *)words, at, pattern);
}

static int regex_compile(struct regex *regex, const char *pattern, struct error *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(regex->memory);
    uint32_t references = 0;
    PCRE2_SIZE at = 0;
    int failure = 0;

    pcre2_set_max_pattern_length(context, REGEX_LENGTH_LIMIT);
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                                &failure, &at, context);
    pcre2_compile_context_free(context);
    if (!regex->code)
        return failure_say(failure, at, pattern, err);
    pcre2_pattern_info(regex->code, PCRE2_INFO_BACKREFMAX, &references);
    if (references > 0)
        return error_set(err, ERROR_INVALID, "error parsing regexp: back reference: `%s`", pattern);
    return 0;
}

struct regex *regex_new(const char *pattern, struct error *err)
{
    CLEANUP(regex_free) struct regex *regex = NEW(struct regex);

    regex->memory = pcre2_general_context_create(memory_take, memory_give, NULL);
    regex->limits = pcre2_match_context_create(regex->memory);
    pcre2_set_match_limit(regex->limits, REGEX_MATCH_LIMIT);
    pcre2_set_depth_limit(regex->limits, REGEX_MATCH_LIMIT);
    pcre2_set_heap_limit(regex->limits, REGEX_HEAP_LIMIT_KIB);
    if (regex_compile(regex, pattern, err) < 0)
        return NULL;
    return TAKE(regex);
}

bool regex_matches(const struct regex *regex, const char *text)
{
    pcre2_match_data *data = pcre2_match_data_create(1, regex->memory);
    int result = pcre2_match(regex->code, (PCRE2_SPTR)text, strlen(text), 0, 0, data,
                             regex->limits);

    pcre2_match_data_free(data);
    return result >= 0;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->limits);
    pcre2_general_context_free(regex->memory);
    free(regex);
}
