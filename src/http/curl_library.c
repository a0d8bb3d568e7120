/* libcurl, loaded when it is first used (base/library.h): linked in the usual way it brings LDAP,
 * Kerberos, a second TLS and more into every process. Where it is missing, handles cannot be made,
 * and errors say so. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdarg.h>

#include "base/library.h"
#include "http/openssl.h"

#include "base/banned.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

static struct library library = LIBRARY_PREPARED("libcurl.so.4", openssl_keep);

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)
FORWARD(void,                curl_easy_cleanup,   (CURL *handle),                                    (handle),       (void)0)
FORWARD(void,                curl_easy_reset,     (CURL *handle),                                    (handle),       (void)0)
FORWARD(CURLcode,            curl_easy_perform,   (CURL *handle),                                    (handle),       CURLE_FAILED_INIT)
FORWARD(const char *,        curl_easy_strerror,  (CURLcode code),                                   (code),         "libcurl.so.4 is not installed")
FORWARD(void,                curl_free,           (void *pointer),                                   (pointer),      (void)0)
FORWARD(struct curl_slist *, curl_slist_append,   (struct curl_slist *list, const char *text),       (list, text),   NULL)
FORWARD(void,                curl_slist_free_all, (struct curl_slist *list),                         (list),         (void)0)
FORWARD(CURLU *,             curl_url,            (void),                                            (),             NULL)
FORWARD(void,                curl_url_cleanup,    (CURLU *url),                                      (url),          (void)0)
FORWARD(CURLUcode,           curl_url_get,        (CURLU *url, CURLUPart part, char **out, unsigned flags),        (url, part, out, flags),  CURLUE_OUT_OF_MEMORY)
FORWARD(CURLUcode,           curl_url_set,        (CURLU *url, CURLUPart part, const char *text, unsigned flags),  (url, part, text, flags), CURLUE_OUT_OF_MEMORY)
/* clang-format on */

static void begin(void)
{
    LIBRARY_FUNCTION(&library, curl_global_init)
    if (function)
        function(CURL_GLOBAL_DEFAULT);
}

/* Whoever makes the first handle begins the library: by itself it would not be safe with threads.
 */
CURL *curl_easy_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    LIBRARY_FUNCTION(&library, curl_easy_init)
    pthread_once(&once, begin);
    return function ? function() : NULL;
}

/* Every value is a long, an offset or a pointer: all of one size, passed alike. */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *),
               "values of options must be passed alike");

CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
    va_list arguments;

    LIBRARY_FUNCTION(&library, curl_easy_setopt)
    va_start(arguments, option);
    void *value = va_arg(arguments, void *);
    va_end(arguments);
    return function ? function(handle, option, value) : CURLE_FAILED_INIT;
}

CURLcode curl_easy_getinfo(CURL *handle, CURLINFO info, ...)
{
    va_list arguments;

    LIBRARY_FUNCTION(&library, curl_easy_getinfo)
    va_start(arguments, info);
    void *value = va_arg(arguments, void *);
    va_end(arguments);
    return function ? function(handle, info, value) : CURLE_FAILED_INIT;
}
