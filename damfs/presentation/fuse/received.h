/* What passthrough.c and making.c ask of received.c. */
#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

/* At each mount: nothing is known. */
void received_reset(void);

/* Whether the request was answered; `body` and `size` are what follows its header. */
int received_answer(int fd, const struct fuse_in_header *in, const char *body, size_t size);

/* What Python answers to CREATE, and to anything: before it is sent. */
void received_created(uint64_t handle, const struct fuse_entry_out *entry);
void received_replied(const struct fuse_out_header *out, const void *payload, size_t size);

/* Whether one more file can be looked after. */
int received_has_room(void);

/* A file that was made without asking Python, and what the kernel is about to be told of it; Python will be. */
void received_made(uint64_t handle, int fd, uint64_t parent, const char *name, const struct fuse_entry_out *entry);

/* All that was made is in the catalog by the last commit, which has changed nothing else. */
void received_entered(void);

/* The kernel takes back what it asked for: nobody has the file. */
void received_unmade(uint64_t handle);
