/* A doubly linked list through a member of its elements. The head is a struct list too; init it
 * before use. */
#ifndef BERTH_BASE_LIST_H
#define BERTH_BASE_LIST_H

#include <stdbool.h>

#include "base/macros.h"

struct list {
    struct list *next, *previous;
};

static inline void list_init(struct list *head)
{
    head->next = head->previous = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add(struct list *head, struct list *element) /* at the end */
{
    element->previous = head->previous;
    element->next = head;
    head->previous->next = element;
    head->previous = element;
}

static inline void
list_remove(struct list *element) /* harmless on an element that was removed before */
{
    element->previous->next = element->next;
    element->next->previous = element->previous;
    list_init(element);
}

/* Walks the elements of 'type'; the current one may be removed. */
#define LIST_EACH(head, type, member, name)                                                        \
    for (type *name = CONTAINER_OF((head)->next, type, member), *name##_next_;                     \
         &name->member != (head) &&                                                                \
         (name##_next_ = CONTAINER_OF(name->member.next, type, member), 1);                        \
         name = name##_next_)

#endif
