/* The version in front of a path. */
#include "api/version.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

static int number_read(const char **text)
{
    int value = 0;

    for (; isdigit((unsigned char)**text); ++*text)
        if (value < 1000)
            value = value * 10 + (**text - '0');
    return value < 10000 ? value : 9999;
}

int api_version_parse(const char *text)
{
    int major = number_read(&text);
    int minor = 0;

    if (*text == '.') {
        text++;
        minor = number_read(&text);
    }
    return major * 10000 + minor;
}

bool api_version_split(const char *path, char out_text[API_VERSION_TEXT_SIZE],
                       const char **out_rest)
{
    if (path[0] != '/' || path[1] != 'v')
        return false;

    size_t length = strspn(path + 2, "0123456789.");
    if (length == 0 || length >= API_VERSION_TEXT_SIZE || path[2 + length] != '/')
        return false;
    memcpy(out_text, path + 2, length);
    out_text[length] = 0;
    *out_rest = path + 2 + length;
    return true;
}
