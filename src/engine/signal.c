/* Names of signals. */
#include <ctype.h>
#include <signal.h>
#include <string.h>

#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

int signal_parse(const char *text, int *out, struct error *err)
{
    struct error ignored;
    int64_t number;
    char name[16] = "";

    if (parse_int64(text, 0, INT32_MAX, &number, &ignored) == 0) {
        if (number == 0)
            return error_set(err, ERROR_INVALID, "invalid signal: %s", text);
        if (number >= NSIG)
            return error_set(err, ERROR_INVALID, "the linux daemon does not support signal %lld",
                             (long long)number);
        *out = (int)number;
        return 0;
    }
    for (size_t i = 0; text[i] && i + 1 < sizeof(name); i++)
        name[i] = (char)toupper((unsigned char)text[i]);
    const char *plain = text_starts(name, "SIG") ? name + 3 : name;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);

        if (known && strcmp(known, plain) == 0) {
            *out = i;
            return 0;
        }
    }
    /* RTMIN, RTMIN+n, RTMAX, RTMAX-n */
    if (text_starts(plain, "RTMIN") &&
        (!plain[5] || (plain[5] == '+' && parse_int64(plain + 6, 1, 30, &number, &ignored) == 0))) {
        *out = 34 + (plain[5] ? (int)number : 0);
        return 0;
    }
    if (text_starts(plain, "RTMAX") &&
        (!plain[5] || (plain[5] == '-' && parse_int64(plain + 6, 1, 30, &number, &ignored) == 0))) {
        *out = 64 - (plain[5] ? (int)number : 0);
        return 0;
    }
    return error_set(err, ERROR_INVALID, "invalid signal: %s", text);
}
