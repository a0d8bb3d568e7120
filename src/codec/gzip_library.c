/* libisal, loaded when it is first used (base/library.h). Where it is missing, every stream is
 * invalid. */
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include "base/library.h"

#include "base/banned.h"

static struct library library = LIBRARY("libisal.so.2");

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)

FORWARD(void,     isal_gzip_header_init, (struct isal_gzip_header *header),                              (header),        (void)0)
FORWARD(int,      isal_read_gzip_header, (struct inflate_state *state, struct isal_gzip_header *header), (state, header), ISAL_INVALID_WRAPPER)
FORWARD(void,     isal_inflate_init,     (struct inflate_state *state),                                  (state),         (void)0)
FORWARD(void,     isal_inflate_reset,    (struct inflate_state *state),                                  (state),         (void)0)
FORWARD(int,      isal_inflate,          (struct inflate_state *state),                                  (state),         ISAL_INVALID_BLOCK)
FORWARD(void,     isal_deflate_init,     (struct isal_zstream *stream),                                  (stream),        (void)0)
FORWARD(int,      isal_deflate,          (struct isal_zstream *stream),                                  (stream),        INVALID_FLUSH)
FORWARD(uint32_t, crc32_gzip_refl,       (uint32_t seed, const unsigned char *bytes, uint64_t size),     (seed, bytes, size), 0)
/* clang-format on */
