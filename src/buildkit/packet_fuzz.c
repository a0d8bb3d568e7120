/* Any bytes as a packet: what can be read is the same when it is written and read once more, and
 * its paths stay inside. */
#include <assert.h>
#include <string.h>

#include "buildkit/packet.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct packet *packet, struct buf *out)
{
    if (packet->type == PACKET_STAT && packet->has_stat)
        packet_write_stat(out, &packet->stat);
    else if (packet->type != PACKET_STAT)
        packet_write(out, packet->type, packet->id, packet->data, packet->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf message = {};
    struct packet packet, again;

    if (packet_read(data, size, &packet, NULL) < 0)
        return 0;
    if (packet.has_stat) {
        assert(packet.stat.path[0] != '/' && packet.stat.path[0] != 0);
        assert(strncmp(packet.stat.path, "../", 3) != 0 && !strstr(packet.stat.path, "/../"));
    }
    write_again(&packet, &message);
    assert(packet_read(buf_bytes(&message), message.size, &again, NULL) == 0);
    assert(again.type == packet.type);
    if (packet.type == PACKET_STAT && packet.has_stat)
        assert(strcmp(again.stat.path, packet.stat.path) == 0 &&
               again.stat.mode == packet.stat.mode && again.stat.size == packet.stat.size &&
               again.stat.attribute_count == packet.stat.attribute_count);
    packet_stat_done(&packet.stat);
    packet_stat_done(&again.stat);
    return 0;
}
