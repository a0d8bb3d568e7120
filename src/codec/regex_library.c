/* libpcre2, loaded when it is first used (base/library.h). Where it is missing, no pattern can be
 * compiled, and the error says so. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "base/library.h"

#include "base/banned.h"

static struct library library = LIBRARY("libpcre2-8.so.0");

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)

FORWARD(pcre2_general_context_8 *, pcre2_general_context_create_8, (void *(*take)(size_t size, void *data), void (*give)(void *place, void *data), void *data),
        (take, give, data), NULL)
FORWARD(void,                      pcre2_general_context_free_8,   (pcre2_general_context_8 *memory),                       (memory),         (void)0)
FORWARD(pcre2_compile_context_8 *, pcre2_compile_context_create_8, (pcre2_general_context_8 *memory),                       (memory),         NULL)
FORWARD(void,                      pcre2_compile_context_free_8,   (pcre2_compile_context_8 *context),                      (context),        (void)0)
FORWARD(int,                       pcre2_set_max_pattern_length_8, (pcre2_compile_context_8 *context, size_t length),       (context, length), 0)
FORWARD(pcre2_code_8 *,            pcre2_compile_8,                (PCRE2_SPTR8 pattern, size_t length, uint32_t options, int *failure, size_t *at, pcre2_compile_context_8 *context),
        (pattern, length, options, failure, at, context), NULL)
FORWARD(void,                      pcre2_code_free_8,              (pcre2_code_8 *code),                                    (code),           (void)0)
FORWARD(int,                       pcre2_pattern_info_8,           (const pcre2_code_8 *code, uint32_t what, void *out),    (code, what, out), PCRE2_ERROR_NULL)
FORWARD(pcre2_match_context_8 *,   pcre2_match_context_create_8,   (pcre2_general_context_8 *memory),                       (memory),         NULL)
FORWARD(void,                      pcre2_match_context_free_8,     (pcre2_match_context_8 *context),                        (context),        (void)0)
FORWARD(int,                       pcre2_set_match_limit_8,        (pcre2_match_context_8 *context, uint32_t limit),        (context, limit), 0)
FORWARD(int,                       pcre2_set_depth_limit_8,        (pcre2_match_context_8 *context, uint32_t limit),        (context, limit), 0)
FORWARD(int,                       pcre2_set_heap_limit_8,         (pcre2_match_context_8 *context, uint32_t limit),        (context, limit), 0)
FORWARD(pcre2_match_data_8 *,      pcre2_match_data_create_8,      (uint32_t size, pcre2_general_context_8 *memory),        (size, memory),   NULL)
FORWARD(void,                      pcre2_match_data_free_8,        (pcre2_match_data_8 *data),                              (data),           (void)0)
FORWARD(int,                       pcre2_match_8,                  (const pcre2_code_8 *code, PCRE2_SPTR8 text, size_t length, size_t start, uint32_t options, pcre2_match_data_8 *data, pcre2_match_context_8 *context),
        (code, text, length, start, options, data, context), PCRE2_ERROR_NULL)
/* clang-format on */

int pcre2_get_error_message_8(int code, PCRE2_UCHAR8 *out, size_t size)
{
    LIBRARY_FUNCTION(&library, pcre2_get_error_message_8)
    if (function)
        return function(code, out, size);
    return snprintf((char *)out, size, "libpcre2-8.so.0 is not installed");
}
