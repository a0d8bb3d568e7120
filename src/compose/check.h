/* What the two files of checks share. Private to them. */
#ifndef BERTH_COMPOSE_CHECK_H
#define BERTH_COMPOSE_CHECK_H

#include "compose/project.h"
#include "compose/spot.h"

/* INVALID "<format>: invalid compose project (<file>:<line>: <spot>; <remedy>)". */
int check_refuse(const struct project *project, const struct spot *spot, const char *remedy,
                 struct error *err, const char *format, ...) PRINTF(5, 6);

/* check_service.c: what the keys of one service say together, and what they refer to. */
int check_service(const struct project *project, const char *name, const struct yaml *service,
                  struct error *err);

#endif
