/* What is accepted names only digests that may become part of a path. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "codec/hash.h"
#include "distribution/document.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(document_done) struct document document = {};
    struct error err = {};

    if (document_parse(NULL, data, size, &document, &err) < 0)
        return 0;
    assert(document_type_is_known(document.media_type));
    assert(!document.subject || content_digest_is_valid(document.subject));
    for (size_t i = 0; i < document.target_count; i++) {
        assert(content_digest_is_valid(document.targets[i].digest));
        assert(document.targets[i].size >= 0);
        assert(document.targets[i].is_manifest == document_type_is_index(document.media_type));
    }
    return 0;
}
