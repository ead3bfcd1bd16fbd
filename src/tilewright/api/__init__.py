"""The verbs of the public API, one a file; ``tilewright`` itself has their names.

In the order in which a network meets them:

``compile``   a quantized network, or its integer graph, to a program
``result``    what a simulation gives
``cycles``    when a program's commands run, without values
``runs``      one image through one executor
``simulate``  a batch through one executor
``verify``    a batch through all executors, compared
``evaluate``  accuracy of a program on labelled data
``estimate``  what a program will cost
``advise``    what another engine would save
``group_sizes``  what the channels of a group cost
``explore``   which engines no other one beats
``report``    a page about programs
``build``     Verilog and synthesis of a target
"""
