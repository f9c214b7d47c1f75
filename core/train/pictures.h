/* pictures.h: a source over plain picture files that the core makes itself. */
#ifndef TENON_TRAIN_PICTURES_H
#define TENON_TRAIN_PICTURES_H

#include "registry/registry.h"

/* Nothing is looked at before scan(). Closed with tn_pictures_close, after its dataset. */
tn_status tn_pictures_open(const char *path, struct tn_instance **instance, struct tn_error *error);
void tn_pictures_close(struct tn_instance **instance);

#endif
