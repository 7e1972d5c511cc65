/* What passthrough.c asks of received.c for each request and reply. */
#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

/* How often Python has told of a commit. */
long current_changes(void);

/* At each mount: nothing is known. */
void received_reset(void);

/* Whether the request was answered; `body` and `size` are what follows its header. */
int received_answer(int fd, const struct fuse_in_header *in, const char *body, size_t size);

/* What Python answers to CREATE, and to anything: before it is sent. */
void received_created(uint64_t handle, const struct fuse_entry_out *entry);
void received_replied(const struct fuse_out_header *out, const void *payload, size_t size);

/* Whether the request is a close that Python need not see now, and is held. Soon after, either all that are held are
 * let out, just before a request that Python sees; or, when there is none, the last one is to be given to Python (its
 * size; 0: none is held). */
int received_held(const char *request, size_t size);
int received_let_out(int fd); /* how many */
size_t received_last_held(int fd, char *buffer, size_t size);
