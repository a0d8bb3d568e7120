/* xz and bzip2 through libarchive's filters: rare enough that its speed and its extra copy do. */
#include <archive.h>
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "codec/decoder.h"

#include "base/banned.h"

struct archive_decoder {
    struct decoder decoder;
    struct archive *archive;
    bool is_open, is_over;
    struct decoder_input *input; /* of the current call */
    struct error failure;        /* of the stream below; kind NONE if it is well */
};

static ssize_t read_more(struct archive *archive, void *data, const void **out)
{
    struct archive_decoder *self = data;
    int more = decoder_input_fill(self->input, &self->failure);

    if (more < 0)
        archive_set_error(archive, EIO, "%s", self->failure.text);
    if (more <= 0)
        return more;
    ssize_t count = (ssize_t)(self->input->end - self->input->start);
    *out = self->input->bytes + self->input->start;
    self->input->start = self->input->end;
    return count;
}

static int explain(struct archive_decoder *self, struct error *err)
{
    const char *text = archive_error_string(self->archive);

    if (self->failure.kind != ERROR_NONE) {
        if (err)
            *err = self->failure;
        return -1;
    }
    if (text && (strstr(text, "runcated") || strstr(text, "No progress")))
        text = "unexpected EOF";
    return error_set(err, ERROR_INVALID, "%s", text ? text : "corrupt input");
}

static int open_filter(struct archive_decoder *self, struct error *err)
{
    struct archive_entry *entry;

    if (archive_read_open(self->archive, self, NULL, read_more, NULL) != ARCHIVE_OK)
        return explain(self, err);
    int result = archive_read_next_header(self->archive, &entry);
    if (result != ARCHIVE_OK && result != ARCHIVE_EOF)
        return explain(self, err);
    self->is_open = true;
    self->is_over = result == ARCHIVE_EOF; /* nothing was compressed */
    return 0;
}

static ssize_t archive_decode(struct decoder *decoder, struct decoder_input *input, void *data,
                              size_t size, struct error *err)
{
    struct archive_decoder *self = CONTAINER_OF(decoder, struct archive_decoder, decoder);

    self->input = input;
    if (!self->is_open && open_filter(self, err) < 0)
        return -1;
    if (self->is_over)
        return 0;
    ssize_t count = archive_read_data(self->archive, data, size);
    self->is_over = count == 0;
    return count < 0 ? explain(self, err) : count;
}

static void archive_decoder_free(struct decoder *decoder)
{
    struct archive_decoder *self = CONTAINER_OF(decoder, struct archive_decoder, decoder);

    archive_read_free(self->archive);
    free(self);
}

struct decoder *decoder_archive_new(void)
{
    struct archive_decoder *self = NEW(struct archive_decoder);

    self->decoder = (struct decoder){ archive_decode, archive_decoder_free };
    self->archive = archive_read_new(); /* NULL without the library: opening it says so */
    archive_read_support_filter_xz(self->archive);
    archive_read_support_filter_bzip2(self->archive);
    archive_read_support_format_raw(self->archive);
    archive_read_support_format_empty(self->archive);
    return &self->decoder;
}
