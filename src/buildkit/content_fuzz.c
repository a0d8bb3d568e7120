/* Any bytes as a part of a blob: what can be read lies inside of the message. */
#include <assert.h>

#include "buildkit/content.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct content_block block;

    if (content_block_read(data, size, &block, NULL) < 0)
        return 0;
    assert(block.offset >= 0);
    assert(block.size == 0 ||
           (block.bytes >= data && block.size <= size && block.bytes + block.size <= data + size));
    return 0;
}
