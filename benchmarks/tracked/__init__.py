"""asv's benchmarks: every number of every case tagged `tracked`, found by looking, so no list is kept here.

asv reads every number as a cost: lower is better. An arm is compared with the strawman of its case in the
same process, because ratios stay put where absolute times wander with the machine. Data always come from the
declared generators, so that a series means the same where real data appear.
"""
