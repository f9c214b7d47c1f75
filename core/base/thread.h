/* thread.h: what all threads of the core need: started so that no signal reaches them, and how long to wait. */
#ifndef TENON_THREAD_H
#define TENON_THREAD_H

#include <pthread.h>
#include <time.h>

/* Like pthread_create, with all signals blocked: they are the main thread's affair. 0, or the reason as an errno. */
int tn_thread_start(pthread_t *thread, void *(*body)(void *), void *argument);
/* So many seconds from now, as pthread_cond_timedwait wants it. */
struct timespec tn_deadline(double seconds);

#endif
