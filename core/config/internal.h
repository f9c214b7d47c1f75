/* internal.h: what the files of core/config share and nobody else sees. */
#ifndef TENON_CONFIG_INTERNAL_H
#define TENON_CONFIG_INTERNAL_H

#include "config/config.h"

#define TN__COMMAND_LINE "command line" /* `file` of what an override set */

/* ---- reading (parse.c, include.c) ---- */
/* Reads INI text into sections in order. Values are raw. */
tn_status tn__config_parse(const char *text, size_t length, const char *path, struct tn_config *config,
                           struct tn_problems *problems);
/* Reads the main file, or `text` in its place, and all that it includes. TN_NOT_FOUND: the main file cannot be read (a
 * problem says so). */
tn_status tn__config_read(const char *text, size_t length, const char *path, struct tn_config *config,
                          struct tn_problems *problems);

/* ---- resolving, in this order ---- */
/* Applies "section.key=value" texts. One that names a layer which a block will make (`layer:stage1/2/conv.filters=8`)
 * is marked in `later`, which has `count` places, for tn__config_override_made. */
tn_status tn__config_override(struct tn_config *config, const char *const *overrides, size_t count, bool *later,
                              struct tn_problems *problems);
/* Drops sections with `remove = yes`. */
void tn__config_remove(struct tn_config *config, struct tn_problems *problems);
/* Replaces `${…}` in every value. In members of a block, names without a dot are left to the block. */
tn_status tn__config_expand(struct tn_config *config, struct tn_problems *problems);
tn_status tn__entry_expand(struct tn_config *config, struct tn_section *section, struct tn_entry *entry,
                           struct tn_problems *problems);
/* Replaces `type = block` layers by their members (blocks.c). */
tn_status tn__config_blocks(struct tn_config *config, struct tn_problems *problems);
tn_status tn__config_override_made(struct tn_config *config, const char *const *overrides, size_t count,
                                   const bool *later, struct tn_problems *problems);

/* ---- sections and keys (sections.c) ---- */
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
/* Whether an experiment may have sections of this kind. */
bool tn__is_section_kind(const char *kind);
/* "; did you mean [layer]?", or the list of all kinds; into a buffer. */
const char *tn__section_kind_hint(const char *kind, char *buffer, size_t size);
/* Whether it is `key = value` in so many words. */
bool tn__section_has(const struct tn_section *section, const char *key, const char *value);
/* Whether this is a layer [layer:BLOCK/MEMBER] whose BLOCK is a [block:BLOCK]: a template, not a layer. */
bool tn__is_block_member(const struct tn_config *config, const struct tn_section *section);

/* What is wrong with the name of a section that somebody writes, as a phrase; NULL = nothing. It has to fit into a
 * header, into lists such as `inputs`, and into ${…}. */
const char *tn__name_fault(const char *name);
/* What a value of the command line or of the environment has that no line of a file could say, as a phrase; NULL =
 * nothing. The resolved experiment has to be readable again. */
const char *tn__value_fault(const char *value);

/* The next item of a comma list, without the white space around it: `while (tn__next_item(&rest, &item, &length))`. */
bool tn__next_item(const char **rest, const char **item, size_t *length);

#endif
