"""The main job, to be watched: one client shares its tokens among thousands of coroutines.

``python -m examples.demo`` (or ``make demo``) starts a Monite on this machine as a separate process and calls it as
partner, as entity and as 50 entity users, while tokens come due, expire, are revoked, and cannot be had for a while. It
ends with a table of what happened and a list of promises, and with a status other than 0 when one was not kept.

- ``scenario``: what is done, stage by stage;
- ``traffic``: the calls, and how each is measured;
- ``ledger``: which tokens were issued, and which of them were needed, as the server saw it;
- ``report``: the figures, the promises and the table.
"""
