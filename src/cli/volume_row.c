/* See the header. */
#include "cli/volume_row.h"

#include "base/memory.h"

#include "base/banned.h"

const struct format_column volume_columns[] = { { "Driver", "DRIVER" },
                                                { "Name", "VOLUME NAME" },
                                                { "Scope", "SCOPE" },
                                                { "Mountpoint", "MOUNTPOINT" },
                                                { "Labels", "LABELS" },
                                                { "Links", "LINKS" },
                                                { "Size", "SIZE" },
                                                { "Availability", "AVAILABILITY" },
                                                { "Group", "GROUP" },
                                                { "Status", "STATUS" },
                                                {} };

struct json *volume_row(const struct json *volume)
{
    CLEANUP(free) char *labels = format_labels(json_get(volume, "Labels"));
    struct row row;

    row_begin(&row);
    row_add(&row, "Availability", "N/A");
    row_add(&row, "Driver", json_text(json_get(volume, "Driver")));
    row_add(&row, "Group", "N/A");
    row_add(&row, "Labels", labels);
    row_add(&row, "Links", "N/A");
    row_add(&row, "Mountpoint", json_text(json_get(volume, "Mountpoint")));
    row_add(&row, "Name", json_text(json_get(volume, "Name")));
    row_add(&row, "Scope", json_text(json_get(volume, "Scope")));
    row_add(&row, "Size", "N/A");
    row_add(&row, "Status", "N/A");
    return row_finish(&row);
}
