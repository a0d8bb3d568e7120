/* Memory that was freed stays with the process, in pieces between what is still used: after much
 * work it is many times what the process needs. */
#ifndef BERTH_BASE_HEAP_H
#define BERTH_BASE_HEAP_H

/* Gives what is free back to the system, if that is more than 2 MiB. Takes a look at all free
 * pieces: to be called when there is nothing else to do. By any thread. */
void heap_give_back(void);

#endif
