/* See the header. */
#include "cli/columns.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

void columns_done(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        strv_done(&columns->rows[i]);
    free(columns->rows);
    *columns = (struct columns){};
}

struct strv *columns_row(struct columns *columns)
{
    columns->rows = xrealloc(columns->rows, columns->count + 1, sizeof(*columns->rows));
    columns->rows[columns->count] = (struct strv){};
    return &columns->rows[columns->count++];
}

static int width_of(const struct columns *columns, size_t column, int least, int gap)
{
    int width = least;

    for (size_t i = 0; i < columns->count; i++)
        if (column < columns->rows[i].count)
            width = MAX(width, (int)strlen(columns->rows[i].items[column]) + gap);
    return width;
}

void columns_print(const struct columns *columns, int least, int gap)
{
    for (size_t i = 0; i < columns->count; i++) {
        const struct strv *row = &columns->rows[i];

        for (size_t j = 0; j + 1 < row->count; j++)
            printf("%-*s", width_of(columns, j, least, gap), row->items[j]);
        if (row->count)
            puts(row->items[row->count - 1]);
    }
}
