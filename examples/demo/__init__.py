"""The main job, to be watched: one client shares its tokens among thousands of coroutines.

``python -m examples.demo`` (or ``make demo``) starts a Monite on this machine as a separate process and calls it as
partner, as entity and as 50 entity users, while tokens come due, expire, are revoked, and cannot be had for a while. It
shows a table of what happened and a list of promises. Then four processes share their tokens, first through a Redis that
it brings along and stops and starts again, then through an encrypted directory, and one of them is killed. The status is
other than 0 when a promise was not kept.

- ``scenario``: what is done, stage by stage;
- ``traffic``: the calls, and how each is measured;
- ``ledger``: which tokens were issued, and which of them were needed, as the server saw it;
- ``report``: the figures, the promises and the table;
- ``fleet``, ``fleet_worker``, ``fleet_crew``, ``fleet_redis``, ``fleet_report``: the same for four processes.
"""
