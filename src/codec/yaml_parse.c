/* From libyaml's events to a tree: aliases become copies, "<<" is merged, keys are unique. */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/yaml.h"

#include "base/banned.h"

struct reader {
    yaml_parser_t parser;
    const char *file;
    const char *text;
    struct map anchors; /* name → struct yaml *, which stays where it is until all is read */
    struct yaml *kept;  /* LIST of what has no place in the tree, but perhaps an anchor */
    size_t node_count;
    int depth;
};

static int place(const struct reader *reader, size_t line, struct error *err)
{
    return error_add(err, " (%s:%zu)", reader->file ? reader->file : "yaml", line);
}

static int fail(const struct reader *reader, size_t line, struct error *err, const char *words)
{
    error_set(err, ERROR_INVALID, "yaml: line %zu: %s", line, words);
    return place(reader, line, err);
}

static size_t line_at(const char *text, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

/* The line as Go's port of the library counts it. */
static int parser_error(const struct reader *reader, struct error *err)
{
    const yaml_parser_t *parser = &reader->parser;
    size_t line = parser->context_mark.line ? parser->context_mark.line : parser->problem_mark.line;
    const char *words = parser->problem ? parser->problem : "unknown problem parsing YAML content";

    if (line && parser->error == YAML_SCANNER_ERROR)
        line++;
    if (line)
        return fail(reader, line, err, words);
    error_set(err, ERROR_INVALID, "yaml: %s", words);
    if (parser->error == YAML_READER_ERROR)
        return place(reader, line_at(reader->text, parser->problem_offset), err);
    return place(reader, parser->problem_mark.line + 1, err);
}

static int next_event(struct reader *reader, yaml_event_t *out, struct error *err)
{
    return yaml_parser_parse(&reader->parser, out) ? 0 : parser_error(reader, err);
}

static int count_nodes(struct reader *reader, const struct yaml *node, size_t line,
                       struct error *err)
{
    if (++reader->node_count > YAML_NODE_LIMIT)
        return fail(reader, line, err, "document contains excessive aliasing");
    for (size_t i = 0; node && i < node->count; i++)
        if (count_nodes(reader, node->items[i], line, err) < 0)
            return -1;
    return 0;
}

static struct yaml *node_at(struct reader *reader, enum yaml_kind kind, const yaml_event_t *event)
{
    struct yaml *node = yaml_new(kind);

    node->file = reader->file;
    node->line = (int)event->start_mark.line + 1;
    node->begin = event->start_mark.index;
    node->end = event->end_mark.index;
    return node;
}

static int read_tag(struct reader *reader, const yaml_char_t *tag, struct yaml *node,
                    struct error *err)
{
    const char *name = (const char *)tag;

    static const char *const known[] = { "!",           YAML_STR_TAG,  YAML_INT_TAG, YAML_FLOAT_TAG,
                                         YAML_BOOL_TAG, YAML_NULL_TAG, YAML_MAP_TAG, YAML_SEQ_TAG };

    if (!name)
        return 0;
    for (size_t i = 0; i < COUNT(known); i++)
        if (strcmp(name, known[i]) == 0)
            return 0;
    if (strcmp(name, "!reset") == 0)
        node->tag = YAML_RESET;
    else if (strcmp(name, "!override") == 0)
        node->tag = YAML_OVERRIDE;
    else {
        CLEANUP(free) char *words = xasprintf("unknown tag %s", name);

        return fail(reader, (size_t)node->line, err, words);
    }
    return 0;
}

static int read_scalar(struct reader *reader, const yaml_event_t *event, struct yaml **out,
                       struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *node = node_at(reader, YAML_TEXT, event);
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;

    if (strlen(text) != event->data.scalar.length)
        return fail(reader, (size_t)node->line, err, "a text with a NUL in it");
    if (read_tag(reader, event->data.scalar.tag, node, err) < 0)
        return -1;
    node->text = xstrdup(text);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (!tag || strcmp(tag, YAML_STR_TAG) != 0))
        node->kind = yaml_resolve(text, &node->integer, &node->real, &node->boolean);
    *out = TAKE(node);
    return 0;
}

static int read_node(struct reader *reader, const yaml_event_t *event, struct yaml **out,
                     struct error *err);

static int read_list(struct reader *reader, const yaml_event_t *start, struct yaml **out,
                     struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *list = node_at(reader, YAML_LIST, start);

    if (read_tag(reader, start->data.sequence_start.tag, list, err) < 0)
        return -1;
    for (;;) {
        struct yaml *item = NULL;
        yaml_event_t event;

        if (next_event(reader, &event, err) < 0)
            return -1;
        bool ends = event.type == YAML_SEQUENCE_END_EVENT;
        int result = ends ? 0 : read_node(reader, &event, &item, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (ends)
            break;
        yaml_add(list, item);
        if (list->count > YAML_MEMBER_LIMIT)
            return fail(reader, (size_t)item->line, err, "a list with too many items");
    }
    *out = TAKE(list);
    return 0;
}

/* Takes over what the dict has not yet. */
static int merge_in(struct reader *reader, struct yaml *dict, const struct yaml *from,
                    struct error *err)
{
    if (from->kind == YAML_LIST) {
        for (size_t i = 0; i < from->count; i++)
            if (merge_in(reader, dict, from->items[i], err) < 0)
                return -1;
        return 0;
    }
    if (from->kind != YAML_DICT)
        return fail(reader, (size_t)from->line, err,
                    "map merge requires map or sequence of maps as the value");
    for (size_t i = 0; i < from->count; i++)
        if (!yaml_get(dict, from->keys[i]))
            yaml_set(dict, from->keys[i], yaml_clone(from->items[i]));
    return 0;
}

static int twice(const struct reader *reader, const struct yaml *key, int first_line,
                 struct error *err)
{
    error_set(err, ERROR_INVALID, "line %d: mapping key \"%s\" already defined at line %d",
              key->line, yaml_text(key) ?: "null", first_line);
    return place(reader, (size_t)key->line, err);
}

static int add_member(struct reader *reader, struct yaml *dict, const struct yaml *key,
                      struct yaml *value, struct error *err)
{
    const char *name = key->kind == YAML_NULL ? "null" : yaml_text(key);
    const struct yaml *old = name ? yaml_get(dict, name) : NULL;
    const char *words = !name      ? "a key that is no text"
                        : key->tag ? "a tag before a key means nothing: put it before the value"
                        : dict->count == YAML_MEMBER_LIMIT ? "a mapping with too many keys"
                                                           : NULL;

    if (words) {
        yaml_drop(value);
        return fail(reader, (size_t)key->line, err, words);
    }
    if (old) {
        yaml_drop(value);
        return twice(reader, key, old->line, err);
    }
    yaml_set(dict, name, value);
    return 0;
}

static int read_member(struct reader *reader, struct yaml *dict, struct yaml *merges,
                       const yaml_event_t *first, struct error *err)
{
    struct yaml *key, *value = NULL;
    yaml_event_t event;

    if (read_node(reader, first, &key, err) < 0)
        return -1;
    yaml_add(reader->kept, key);
    if (next_event(reader, &event, err) < 0)
        return -1;
    int result = read_node(reader, &event, &value, err);
    yaml_event_delete(&event);
    if (result < 0)
        return -1;
    if (key->kind == YAML_TEXT && strcmp(key->text, "<<") == 0) {
        yaml_add(merges, value);
        return merges->count == 1 ? 0 : twice(reader, key, merges->items[0]->line, err);
    }
    if (value->kind < YAML_LIST)
        value->line = key->line;
    return add_member(reader, dict, key, value, err);
}

static int read_dict(struct reader *reader, const yaml_event_t *start, struct yaml **out,
                     struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *dict = node_at(reader, YAML_DICT, start);
    struct yaml *merges = yaml_new(YAML_LIST);

    yaml_add(reader->kept, merges);
    if (read_tag(reader, start->data.mapping_start.tag, dict, err) < 0)
        return -1;
    for (;;) {
        yaml_event_t event;

        if (next_event(reader, &event, err) < 0)
            return -1;
        bool ends = event.type == YAML_MAPPING_END_EVENT;
        int result = ends ? 0 : read_member(reader, dict, merges, &event, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (ends)
            break;
    }
    if (merge_in(reader, dict, merges, err) < 0)
        return -1;
    *out = TAKE(dict);
    return 0;
}

static int read_alias(struct reader *reader, const yaml_event_t *event, struct yaml **out,
                      struct error *err)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct yaml *known = map_get(&reader->anchors, name);

    if (!known) {
        CLEANUP(free) char *words = xasprintf("unknown anchor '%s' referenced", name);

        return fail(reader, event->start_mark.line + 1, err, words);
    }
    if (count_nodes(reader, known, event->start_mark.line + 1, err) < 0)
        return -1;
    *out = yaml_clone(known);
    return 0;
}

static int read_node(struct reader *reader, const yaml_event_t *event, struct yaml **out,
                     struct error *err)
{
    const char *anchor = NULL;
    int result;

    if (count_nodes(reader, NULL, event->start_mark.line + 1, err) < 0)
        return -1;
    if (++reader->depth > YAML_DEPTH_LIMIT)
        return fail(reader, event->start_mark.line + 1, err, "nested too deeply");
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        result = read_alias(reader, event, out, err);
        break;
    case YAML_SCALAR_EVENT:
        anchor = (const char *)event->data.scalar.anchor;
        result = read_scalar(reader, event, out, err);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = (const char *)event->data.sequence_start.anchor;
        result = read_list(reader, event, out, err);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = (const char *)event->data.mapping_start.anchor;
        result = read_dict(reader, event, out, err);
        break;
    default:
        result = fail(reader, event->start_mark.line + 1, err, "unexpected content");
        break;
    }
    reader->depth--;
    if (result == 0 && anchor)
        map_set(&reader->anchors, anchor, *out);
    return result;
}

/* One document a turn, until the stream ends. */
static int read_documents(struct reader *reader, struct yaml *documents, struct error *err)
{
    for (;;) {
        struct yaml *document = NULL;
        yaml_event_t event;
        int result = 0;

        if (next_event(reader, &event, err) < 0)
            return -1;
        yaml_event_type_t type = event.type;
        if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
            type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT)
            result = read_node(reader, &event, &document, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (document)
            yaml_add(documents, document);
        if (document && document->tag)
            return fail(reader, (size_t)document->line, err, "a tag before the whole document");
        if (type == YAML_STREAM_END_EVENT)
            return 0;
    }
}

int yaml_parse(const char *text, size_t size, const char *file, struct yaml **out,
               struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *documents = yaml_new(YAML_LIST);
    CLEANUP(yaml_drop) struct yaml *kept = yaml_new(YAML_LIST);
    struct reader reader = { .file = file, .text = text, .kept = kept };

    if (!yaml_parser_initialize(&reader.parser))
        return error_set(err, ERROR_INTERNAL, "yaml: no parser can be made");
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    int result = read_documents(&reader, documents, err);
    yaml_parser_delete(&reader.parser);
    map_done(&reader.anchors);
    if (result < 0)
        return -1;
    *out = TAKE(documents);
    return 0;
}
