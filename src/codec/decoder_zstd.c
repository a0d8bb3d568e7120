/* zstd: one or more frames, skippable ones among them. The window is bounded by the library's
 * default (128 MB). */
#include <zstd.h>

#include "base/memory.h"
#include "codec/decoder.h"

#include "base/banned.h"

struct zstd_decoder {
    struct decoder decoder;
    ZSTD_DCtx *context;
    bool is_inside; /* of a frame */
};

static ssize_t zstd_decode(struct decoder *decoder, struct decoder_input *input, void *data,
                           size_t size, struct error *err)
{
    struct zstd_decoder *self = CONTAINER_OF(decoder, struct zstd_decoder, decoder);

    for (;;) {
        int more = decoder_input_fill(input, err);

        if (more < 0 || (!more && !self->is_inside))
            return more;
        ZSTD_inBuffer in = { input->bytes + input->start, input->end - input->start, 0 };
        ZSTD_outBuffer out = { data, size, 0 };
        size_t result = ZSTD_decompressStream(self->context, &out, &in);
        input->start += in.pos;
        if (ZSTD_isError(result))
            return error_set(err, ERROR_INVALID, "zstd: %s", ZSTD_getErrorName(result));
        self->is_inside = result != 0;
        if (out.pos)
            return (ssize_t)out.pos;
        if (!more && self->is_inside)
            return error_set(err, ERROR_INVALID, "unexpected EOF");
    }
}

static void zstd_free(struct decoder *decoder)
{
    struct zstd_decoder *self = CONTAINER_OF(decoder, struct zstd_decoder, decoder);

    ZSTD_freeDCtx(self->context);
    free(self);
}

struct decoder *decoder_zstd_new(void)
{
    struct zstd_decoder *self = NEW(struct zstd_decoder);

    self->decoder = (struct decoder){ zstd_decode, zstd_free };
    self->context = ZSTD_createDCtx();
    return &self->decoder;
}
