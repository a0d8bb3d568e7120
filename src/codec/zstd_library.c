/* libzstd, loaded when it is first used (base/library.h). Where it is missing, every result is an
 * error that says so. */
#include <stdlib.h>
#include <zstd.h>

#include "base/library.h"

#include "base/banned.h"

static struct library library = LIBRARY("libzstd.so.1");

#define FAILED ((size_t)-1)

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)

FORWARD(size_t,       ZSTD_freeCCtx,          (ZSTD_CCtx *context),                                        (context),                   0)
FORWARD(size_t,       ZSTD_CCtx_setParameter, (ZSTD_CCtx *context, ZSTD_cParameter parameter, int value),  (context, parameter, value), FAILED)
FORWARD(size_t,       ZSTD_compressStream2,   (ZSTD_CCtx *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in, ZSTD_EndDirective end),
        (context, out, in, end), FAILED)
FORWARD(size_t,       ZSTD_freeDCtx,          (ZSTD_DCtx *context),                                        (context),                   0)
FORWARD(size_t,       ZSTD_decompressStream,  (ZSTD_DCtx *context, ZSTD_outBuffer *out, ZSTD_inBuffer *in), (context, out, in),         FAILED)
FORWARD(unsigned,     ZSTD_isError,           (size_t code),                                               (code),                      1)
FORWARD(const char *, ZSTD_getErrorName,      (size_t code),                                               (code),                      "libzstd.so.1 is not installed")
FORWARD(int,          ZSTD_maxCLevel,         (void),                                                      (),                          1)
/* clang-format on */

/* Without the library no context is needed either: nothing looks at it. */
static void *made(void *context)
{
    if (!context)
        abort();
    return context;
}

ZSTD_CCtx *ZSTD_createCCtx(void)
{
    LIBRARY_FUNCTION(&library, ZSTD_createCCtx)
    return function ? made(function()) : NULL;
}

ZSTD_DCtx *ZSTD_createDCtx(void)
{
    LIBRARY_FUNCTION(&library, ZSTD_createDCtx)
    return function ? made(function()) : NULL;
}
