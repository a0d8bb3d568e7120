/* Any bytes as a log file: reading it must end, and give what a line says; escaping a text that was
 * read and reading it again must give the same text. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"
#include "shim/log_line.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct log_entry *entry)
{
    CLEANUP(str_done) struct str line = {}, text = {}, attributes = {};
    CLEANUP(free) char *escaped = xmalloc(entry->size * LOG_ESCAPED_SIZE + 16);
    char *end = escaped;
    struct log_entry again;

    if (log_text_escape(entry->text, entry->size, &end) < entry->size)
        return; /* a newline in the middle: the writer never makes that */
    str_add(&line, LOG_LINE_START);
    str_add_bytes(&line, escaped, (size_t)(end - escaped));
    log_line_end(&line, entry->is_stderr, entry->attributes, 1);
    assert(log_line_decode(line.data, line.length - 1, &text, &attributes, &again));
    assert(again.is_stderr == entry->is_stderr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(str_done) struct str text = {}, attributes = {};
    CLEANUP(log_reader_close) struct log_reader *reader = NULL;
    struct log_entry entry;
    char path[64];
    int fd = memfd_create("log", MFD_CLOEXEC);

    if (log_line_decode((const char *)data, size, &text, &attributes, &entry))
        check_round_trip(&entry);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct log_reader_options options = { .path = path,
                                          .tail = size ? data[0] % 4 - 1 : -1,
                                          .stdout_wanted = true,
                                          .stderr_wanted = true };
    assert(log_reader_open(&options, &reader, NULL) == 0);
    while (log_reader_next(reader, &entry, NULL) > 0)
        assert(strlen(entry.text) <= entry.size);
    close(fd);
    return 0;
}
