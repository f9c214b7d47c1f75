/* tenon/plugin.h: all that a plugin of tenon includes. C11 and C++20; needs libc only, links nothing of tenon.
 *
 * Begin with `tenon plugin new KIND NAME`, which writes a plugin that builds and has a test, and with
 * docs/plugin-guide.md.
 */
#ifndef TENON_PLUGIN_H
#define TENON_PLUGIN_H

#include "tenon/data.h"   /* source, codec, augment */
#include "tenon/device.h" /* values, ops, device */
#include "tenon/layer.h"  /* layer, loss, metric */
#include "tenon/option.h"
#include "tenon/random.h"
#include "tenon/status.h"
#include "tenon/train.h" /* optimizer, schedule, callback, format */
#include "tenon/type.h"

#endif
