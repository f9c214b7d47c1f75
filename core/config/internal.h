/* internal.h: what the files of core/config share and nobody else sees. */
#ifndef TENON_CONFIG_INTERNAL_H
#define TENON_CONFIG_INTERNAL_H

#include "config/config.h"

/* NULL-terminated: every kind of section that an experiment may have. */
extern const char *const tn__section_kinds[];

/* Reads INI text into sections in order (parse.c). Values are raw. */
tn_status tn__config_parse(const char *text, size_t length, const char *path, struct tn_config *config,
                           struct tn_problems *problems);
/* Merges the files that [experiment] includes below `config` (include.c). */
tn_status tn__config_include(struct tn_config *config, struct tn_problems *problems);
tn_status tn__config_override(struct tn_config *config, const char *const *overrides, size_t count,
                              struct tn_problems *problems);
/* Drops sections with `remove = yes`. */
void tn__config_remove(struct tn_config *config);
/* Replaces `type = block` layers by their members (blocks.c). */
tn_status tn__config_blocks(struct tn_config *config, struct tn_problems *problems);
/* Replaces `${…}` in every value; sections of block members (a '/' in a template's name) are left to the blocks. */
tn_status tn__config_expand(struct tn_config *config, struct tn_problems *problems);

struct tn_entry *tn__section_find(const struct tn_section *section, const char *key);
struct tn_section *tn__config_find(const struct tn_config *config, const char *kind, const char *name);
/* Adds without looking for a twin. */
tn_status tn__section_add(struct tn_section *section, const char *key, const char *value, const char *file,
                          uint32_t line);
struct tn_section *tn__config_append(struct tn_config *config, const char *kind, const char *name, const char *file,
                                     uint32_t line);
void tn__section_release(struct tn_section *section);
/* "[layer:conv1]" or "[data]" into a buffer. */
const char *tn__section_title(const struct tn_section *section, char *buffer, size_t size);
/* 1 for a section [layer:BLOCK/MEMBER] whose BLOCK is a [block:BLOCK]: a template, not a layer. */
bool tn__is_block_member(const struct tn_config *config, const struct tn_section *section);

#endif
