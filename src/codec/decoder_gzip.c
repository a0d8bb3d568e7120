/* gzip through ISA-L. A file is one or more members back to back, as Go reads it: what follows a
 * member must be another one. */
#include <isa-l/igzip_lib.h>

#include "base/memory.h"
#include "codec/decoder.h"

#include "base/banned.h"

struct gzip_decoder {
    struct decoder decoder;
    struct isal_gzip_header header;
    bool is_in_header;
    struct inflate_state state; /* with its window: about 100 KB */
};

/* The header is read by its own call, which remembers where it was: isal_inflate forgets it when
 * the header comes in pieces. */
static void start_member(struct gzip_decoder *self)
{
    isal_inflate_reset(&self->state);
    isal_gzip_header_init(&self->header);
    self->state.crc_flag = ISAL_GZIP_NO_HDR_VER;
    self->is_in_header = true;
}

static int explain(int result, struct error *err)
{
    switch (result) {
    case ISAL_INVALID_WRAPPER:
    case ISAL_UNSUPPORTED_METHOD:
        return error_set(err, ERROR_INVALID, "gzip: invalid header");
    case ISAL_INCORRECT_CHECKSUM:
        return error_set(err, ERROR_INVALID, "gzip: invalid checksum");
    default:
        return error_set(err, ERROR_INVALID, "gzip: corrupt input");
    }
}

/* 1: a member goes on or begins; 0: none is left. */
static int prepare(struct gzip_decoder *self, struct decoder_input *input, struct error *err)
{
    int has_input = decoder_input_fill(input, err);

    if (has_input < 0)
        return -1;
    if (self->is_in_header || self->state.block_state != ISAL_BLOCK_FINISH)
        return 1;
    if (has_input)
        start_member(self);
    return has_input;
}

/* One step over what the input holds. */
static int advance(struct gzip_decoder *self)
{
    if (!self->is_in_header)
        return isal_inflate(&self->state);
    int result = isal_read_gzip_header(&self->state, &self->header);
    self->is_in_header = result != ISAL_DECOMP_OK;
    return result;
}

static ssize_t gzip_decode(struct decoder *decoder, struct decoder_input *input, void *data,
                           size_t size, struct error *err)
{
    struct gzip_decoder *self = CONTAINER_OF(decoder, struct gzip_decoder, decoder);
    struct inflate_state *state = &self->state;
    uint32_t room = (uint32_t)MIN(size, (size_t)1 << 30);

    for (;;) {
        int more = prepare(self, input, err);

        if (more <= 0)
            return more;
        uint32_t given = (uint32_t)(input->end - input->start);
        state->next_in = input->bytes + input->start;
        state->avail_in = given;
        state->next_out = data;
        state->avail_out = room;
        int result = advance(self);
        input->start += given - state->avail_in;
        if (result < 0)
            return explain(result, err);
        if (state->avail_out < room)
            return (ssize_t)(room - state->avail_out);
        if (!given && state->block_state != ISAL_BLOCK_FINISH)
            return error_set(err, ERROR_INVALID, "unexpected EOF");
    }
}

static void gzip_free(struct decoder *decoder)
{
    free(CONTAINER_OF(decoder, struct gzip_decoder, decoder));
}

struct decoder *decoder_gzip_new(void)
{
    struct gzip_decoder *self = xmalloc(sizeof(*self));

    self->decoder = (struct decoder){ gzip_decode, gzip_free };
    isal_inflate_init(&self->state);
    start_member(self);
    return &self->decoder;
}
